"""Knowledge that lives elsewhere, kept as files beside the database: websites, Git, Notion, Google Drive, YouTube.

`origin` holds what every origin is, one module each translates one service, `kept` is the folder of a source, `syncing` brings one source
up to date, and `keeper` does so for all of them by the clock. `asking` is the way out.
"""
