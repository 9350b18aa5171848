package container

// CheckFlags says what is wrong with a text for Options.Flags.
func CheckFlags(flags string) error {
	return newSettings(volumePolicy{all: true}).parse(flags, operator)
}
