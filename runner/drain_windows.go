package runner

import "errors"

func askToDrain(int) error {
	return errors.New("there is no such signal on Windows: stop it with Ctrl+C, and set runner.shutdown_timeout so that its jobs finish")
}

func alive(int) bool { return false }
