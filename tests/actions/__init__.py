"""Actions: once or asked, agreed to by the one who was asked, and what an answer may say of them."""
