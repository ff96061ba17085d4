"""What the bridge needs from outside, in its own words."""
