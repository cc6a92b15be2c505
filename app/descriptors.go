package app

// descriptorReserve is how many descriptors are not for clients but for requests, and for
// the server itself; a quarter of them if that is less.
const descriptorReserve = 1000

// maxClients is how many clients the server takes: as many as there are descriptors, less a
// reserve, or as many as are configured if that is less. 0 is no limit, of any of them.
func maxClients(configured, descriptors int) int {
	most := descriptors - min(descriptorReserve, descriptors/4)
	if configured > 0 && (most == 0 || configured < most) {
		return configured
	}
	return most
}
