"""What a session decides, by name: pure, from what it sees and a memory that is stored."""
