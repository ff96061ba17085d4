"""mmbot: what an operator does at a terminal."""
