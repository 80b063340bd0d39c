"""Other witnesses of a call than its packets: what the softphone itself wrote down."""
