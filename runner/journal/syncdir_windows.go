package journal

// syncDir does nothing: the file system's own journal has the names.
func syncDir(string) error { return nil }
