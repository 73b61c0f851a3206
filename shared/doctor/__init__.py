"""What both doctors share: findings and how an examination is printed."""
