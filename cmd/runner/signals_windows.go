package main

import "os"

// requests are signals that Windows has not.
func requests() (drain, reload <-chan os.Signal, end func()) { return nil, nil, func() {} }
