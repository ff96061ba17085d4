"""mmbot doctor: what it checks, a file for each part."""
