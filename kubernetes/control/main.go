// Command control is every program of a Kubernetes node and control plane in one file: the
// name it is started by says which of them it is. One file for all means that processes share
// its pages in memory, and that an image holds their common packages once.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	run, ok := programs[filepath.Base(os.Args[0])]
	if !ok {
		run = usage
	}
	os.Exit(run())
}

// usage names the programs, for a start under a name that is none of them.
func usage() int {
	names := make([]string, 0, len(programs))
	for name := range programs {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(os.Stderr, "%s: start this file by the name of one of its programs: %s\n",
		os.Args[0], strings.Join(names, ", "))
	return 2
}
