//go:build !linux

package jail

import (
	"errors"
	"runtime"
)

// Enter does nothing here: only Linux has the features.
func Enter(r Rules) (Report, error) {
	if r.Secure {
		return Report{}, errors.New("the mode wasm-only needs Linux with Landlock, and this is " + runtime.GOOS + ": run it on Linux")
	}
	return Report{Missing: []string{"process jail (" + runtime.GOOS + " has none)"}}, nil
}
