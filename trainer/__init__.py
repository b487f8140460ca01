"""The watchkeeper trainer: history in, bundle out. Needs torch; the detector never imports it."""
