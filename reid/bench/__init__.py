"""Side-by-side measurements that anyone can repeat: ``reidtrack bench``."""
