"""ReconcilePhotos: find photos without an outcome and outcomes without an event, and repair both."""
