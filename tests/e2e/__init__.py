"""The whole house: the real daemon as a process, real Chromium, real documents."""
