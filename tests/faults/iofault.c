/* Loaded before the C library: makes the n-th write or sync of a file below a folder fail, and keeps a record of all of them.
 *
 * Nothing happens until iofault_arm(). A record in the log is: kind ('w' write, 's' sync, 't' truncate, 'n' note), then, each as
 * 8 bytes in the machine's order, offset or length, size of the path, size of the data; then the path and the data. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char under[PATH_MAX];
static size_t under_size;
static long fail_at, calls;
static int is_lasting, log_file = -1;

#define REAL(result, name, ...) ((result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

static void put(const void *data, size_t size)
{
    ssize_t (*real)(int, const void *, size_t) = REAL(ssize_t, "write", int, const void *, size_t);
    while (size > 0) {
        ssize_t done = real(log_file, data, size);
        if (done <= 0)
            return;
        data = (const char *)data + done;
        size -= (size_t)done;
    }
}

static void record(char kind, int64_t offset, const char *path, const void *data, size_t size)
{
    if (log_file < 0)
        return;
    int64_t numbers[3] = {offset, (int64_t)strlen(path), (int64_t)size};
    put(&kind, 1);
    put(numbers, sizeof numbers);
    put(path, strlen(path));
    put(data, size);
}

/* fail_from: the number of the first call that fails, 0 for none; lasting: every later one fails, too. */
void iofault_arm(const char *folder, long fail_from, int lasting, int log)
{
    strncpy(under, folder, sizeof under - 1);
    under_size = strlen(under);
    fail_at = fail_from;
    is_lasting = lasting;
    log_file = log;
    calls = 0;
}

long iofault_calls(void) { return calls; }

void iofault_note(const char *text)
{
    pthread_mutex_lock(&mutex);
    record('n', 0, text, "", 0);
    pthread_mutex_unlock(&mutex);
}

static int is_watched(int file, char *path)
{
    char link[64];
    if (under_size == 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    return strncmp(path, under, under_size) == 0;
}

/* With the mutex held: counts, and says whether this call fails. */
static int fails(void)
{
    calls++;
    if (fail_at == 0 || !(calls == fail_at || (is_lasting && calls > fail_at)))
        return 0;
    errno = EIO;
    return 1;
}

#define WATCHED(file, kind, offset, data, size, call)                                                                   \
    do {                                                                                                                \
        char path[PATH_MAX];                                                                                            \
        if (!is_watched(file, path))                                                                                    \
            return call;                                                                                                \
        pthread_mutex_lock(&mutex);                                                                                     \
        int has_failed = fails();                                                                                       \
        if (!has_failed)                                                                                                \
            record(kind, offset, path, data, size);                                                                     \
        pthread_mutex_unlock(&mutex);                                                                                   \
        return has_failed ? -1 : call;                                                                                  \
    } while (0)

ssize_t pwrite(int file, const void *data, size_t size, off_t offset)
{
    WATCHED(file, 'w', offset, data, size, REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)(file, data, size, offset));
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset)
{
    WATCHED(file, 'w', offset, data, size,
            REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t)(file, data, size, offset));
}

ssize_t write(int file, const void *data, size_t size)
{
    WATCHED(file, 'w', lseek(file, 0, SEEK_CUR), data, size,
            REAL(ssize_t, "write", int, const void *, size_t)(file, data, size));
}

int fsync(int file)
{
    WATCHED(file, 's', 0, "", 0, REAL(int, "fsync", int)(file));
}

int fdatasync(int file)
{
    WATCHED(file, 's', 0, "", 0, REAL(int, "fdatasync", int)(file));
}

int ftruncate(int file, off_t size)
{
    WATCHED(file, 't', size, "", 0, REAL(int, "ftruncate", int, off_t)(file, size));
}

int ftruncate64(int file, off64_t size)
{
    WATCHED(file, 't', size, "", 0, REAL(int, "ftruncate64", int, off64_t)(file, size));
}
