"""What people answered: votes, preference with intervals, Bradley-Terry, agreement, power, real or fake."""
