"""Documents of strangers, parsed in a child process with hard limits.

`parsed` holds what comes back, `room` the parent's side, `child` the process, and `pdf`, `docx`, `page` and `sitemap` one format each. The
formats are imported by the child alone.
"""
