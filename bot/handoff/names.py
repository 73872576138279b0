"""What an operator is called where people read it."""


def shown(name: str) -> str:
    """An operator's name as users see it: `ben.miller` is Ben Miller."""
    return " ".join(part.capitalize() for part in name.replace("_", ".").replace("-", ".").split(".") if part)
