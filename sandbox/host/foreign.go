package host

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
)

// noProgram says what a file is that the system does not take for a program: mostly
// one for another architecture, where an image is.
func noProgram(path string) string {
	if arch := archOf(path); arch != "" && arch != runtime.GOARCH {
		return fmt.Sprintf("%s is a program for the architecture %s, this machine is %s and does not emulate it: use a program, or an image, for %s",
			path, arch, runtime.GOARCH, runtime.GOARCH)
	}
	return path + " is there, but is no program of this system (a script needs a #! line)"
}

// machines are Go's names of architectures by the numbers of the ELF
// specification (e_machine).
var machines = map[uint16]string{
	3: "386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64",
}

// archOf is the architecture of an ELF file; "" for others. The file is a step's: it
// may be anything.
func archOf(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	var header [20]byte
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	if _, err := io.ReadFull(f, header[:]); err != nil || string(header[:4]) != "\x7fELF" {
		return ""
	}
	var order binary.ByteOrder = binary.LittleEndian
	if header[5] == 2 {
		order = binary.BigEndian
	}
	machine := order.Uint16(header[18:])
	if name, ok := machines[machine]; ok {
		return name
	}
	return fmt.Sprintf("number %d", machine)
}
