"""The business language that every layer speaks: objects, events and the capabilities systems can offer."""
