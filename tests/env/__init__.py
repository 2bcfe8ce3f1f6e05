"""What tests share: environments in which a part is at work, and waiting for conditions."""
