package app

// descriptorReserve is how many descriptors are not for clients but for requests, and for
// the server itself; a quarter of them if that is less.
const descriptorReserve = 1000

// maxClients is how many clients the server takes: what is configured or, if that is 0,
// as many as there are descriptors, less a reserve. 0 is no limit.
func maxClients(configured, descriptors int) int {
	if configured > 0 {
		return configured
	}
	return descriptors - min(descriptorReserve, descriptors/4)
}
