"""Regridding: sparse weights with ESMF's conventions, kept in ESMF's file format, applied as one sparse product."""
