"""The analysts that need no model, the risk manager, and the portfolio manager: pure rules."""
