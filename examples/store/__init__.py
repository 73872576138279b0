"""A small bicycle shop and the Frontdesk that serves its customers. `README.md` tells how to run it."""
