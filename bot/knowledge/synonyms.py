"""Words that people use for each other when they ask for support. Small on purpose: a wrong equation misleads more than a missing one.

Each line is one group; a word may be in several. The words are compared by their stems.
"""

from bot.knowledge.words import split_words, stem

_GROUPS = """
website site homepage webpage page
color colour
bot agent assistant chatbot
bike bicycle
price cost fee expensive cheap
pay payment
refund reimbursement
ship shipping deliver delivery dispatch
parcel package shipment
box carton packaging
delete remove erase
start begin launch
stop quit exit
restart reboot
change modify edit adjust alter
replace exchange swap
configure setting option
install setup installation
upgrade update
big large size
picture image photo
folder directory
password passphrase
login signin sign
person human
error problem issue fault failure mistake
broken damaged corrupt defective
forbid block refuse deny reject
allow permit approve
language english german deutsch
answer reply response
cancel abort
buy order purchase
repair fix
invoice bill
guarantee warranty
phone telephone
mail email
config configuration
doc document documentation
customer visitor client
maximum max most largest longest
minimum min least smallest
forget forgot forgotten
lose lost missing
break broke broken
send sent
buy bought
sell sold
pay paid
choose chose chosen
write wrote written
speak spoke spoken
begin began begun
hold held
build built
leave left
find found
steal stole stolen
"""


def _table() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for line in _GROUPS.strip().splitlines():
        words = split_words(line)
        for word in words:
            table.setdefault(stem(word), set()).update(words)
    return {key: frozenset(words) for key, words in table.items()}


_TABLE = _table()


def alternatives(word: str) -> frozenset[str]:
    """Other words that say the same; empty for most."""
    return _TABLE.get(stem(word), frozenset()) - {word}
