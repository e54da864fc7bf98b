"""WatchQuality: notice when the photos in production drift, and have them labelled."""
