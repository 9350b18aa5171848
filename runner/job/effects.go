package job

// effects are what a program that a step ran wants to change. Whoever ran it
// applies them, in order.
type effects struct {
	env     []pair
	path    []string
	outputs []pair
	state   []pair
	summary []byte

	// failed says that a command or a command file was refused, which fails
	// the step whatever its exit status.
	failed bool
}
