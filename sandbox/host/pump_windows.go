package host

import "os"

// isEmpty cannot be told here without a second reader; time alone decides.
func isEmpty(*os.File) bool { return true }
