//go:build !unix

package app

// descriptorLimit is how many descriptors the process may have, 0 for no limit.
func descriptorLimit() int { return 0 }
