"""Methods that make an analysis from a problem: one module a method, all behind ``interfaces.AnalysisMethod``."""
