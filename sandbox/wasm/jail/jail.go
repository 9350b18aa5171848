// Package jail takes from the process that calls it what a WASM worker does not
// need, so that a guest that breaks out of the WebAssembly engine finds nothing:
// no file but its own, no network, no other program, no other process.
package jail

// Rules say what stays possible.
type Rules struct {
	ReadOnly  []string // folders
	ReadWrite []string // folders
	// Secure makes a feature that is required and not there an error.
	Secure bool
}

// Report says what is in force.
type Report struct {
	InForce []string
	Missing []string
}
