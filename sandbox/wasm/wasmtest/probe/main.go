// Command probe is the WebAssembly module of tests that need a whole program, made
// by the Go compiler for wasip1. It does what its arguments say, one after the
// other, and prints what it sees:
//
//	env:NAME         the value of a variable
//	append:NAME=TEXT adds a line to the file that the variable NAME names
//	write:FILE=TEXT  writes a file
//	read:FILE        a file's content
//	list:DIR         the names in a folder
//	remove:FILE      removes a file
//	link:NAME=TARGET makes a symbolic link
//	exit:CODE        ends it
//	loop:            never ends
//	get:URL          asks a server by the sandbox's own functions
//
// It begins with its own name and folder, and goes on after what fails.
package main

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
)

func main() {
	dir, _ := os.Getwd()
	fmt.Println("probe", path.Base(os.Args[0]), "in", path.Base(dir))
	for _, arg := range os.Args[1:] {
		what, text, found := strings.Cut(arg, ":")
		if !found {
			fmt.Printf("argument <%s>\n", arg)
			continue
		}
		name, value := text, ""
		if what != "get" {
			name, value, _ = strings.Cut(text, "=")
		}
		if err := do(what, name, value); err != nil {
			fmt.Printf("%s: %v\n", arg, err)
		}
	}
}

func do(what, name, value string) error {
	switch what {
	case "env":
		value, set := os.LookupEnv(name)
		if !set {
			value = "(not set)"
		}
		fmt.Printf("%s is %s\n", name, value)
	case "append":
		f, err := os.OpenFile(os.Getenv(name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		fmt.Fprintln(f, value)
		return f.Close()
	case "write":
		if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		return os.WriteFile(name, []byte(value), 0o644)
	case "read":
		data, err := os.ReadFile(name)
		if err == nil {
			fmt.Printf("%s holds %s\n", path.Base(name), data)
		}
		return err
	case "list":
		entries, err := os.ReadDir(name)
		for _, e := range entries {
			fmt.Printf("%s has %s\n", name, e.Name())
		}
		return err
	case "remove":
		return os.Remove(name)
	case "link":
		return os.Symlink(value, name)
	case "exit":
		code, err := strconv.Atoi(name)
		if err == nil {
			os.Exit(code)
		}
		return err
	case "get":
		return get(name)
	case "loop":
		for i := 0; ; i++ {
			_ = i
		}
	default:
		return fmt.Errorf("unknown")
	}
	return nil
}
