"""Failure cases of synthesized clips (EDN Fig. 9): the worst moments by kind, with their reasons and shares."""
