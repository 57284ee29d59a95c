"""The follower: round after round over all files, with its notes and its signs of life."""
