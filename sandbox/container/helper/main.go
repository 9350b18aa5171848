// Command helper is the first process of a job's container: it runs the job's
// commands for the runner at the other end of its standard input and output. It is
// a static program for any Linux image, also one that is empty.
package main

import (
	"os"

	"otelrunner/sandbox/container/helper/first"
)

func main() { os.Exit(first.Main(os.Args)) }
