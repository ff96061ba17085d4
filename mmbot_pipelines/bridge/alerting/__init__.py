"""What the operator is alerted to: the rules, the snapshot they judge, the messages."""
