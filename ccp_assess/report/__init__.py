"""Results become pictures and documents: drawings for notebooks and panels, the client report, the evidence bundle."""
