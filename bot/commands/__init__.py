"""The subcommands of `frontdesk`, one idea a module. Each is loaded when it is called, and not before."""
