package handlers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"

	"fanfare/models"
)

// contract holds requests and answers to an OpenAPI document, and remembers what it has seen of it.
type contract struct {
	document *openapi3.T
	router   routers.Router
	// mu guards seen: a parameter or a status of an operation, or a code of such a status, each as in promises.
	mu   sync.Mutex
	seen map[string]bool
}

// newContract reads a document. Objects of ours have the fields that it names and no others, although clients
// should ignore those that they do not know.
func newContract(text []byte) (*contract, error) {
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	if err := document.Validate(context.Background()); err != nil {
		return nil, err
	}
	for _, schema := range document.Components.Schemas {
		closeObject(schema)
	}
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			for _, response := range operation.Responses.Map() {
				for _, media := range response.Value.Content {
					closeObject(media.Schema)
				}
			}
		}
	}
	document.Servers = nil // the test's is another each time
	router, err := legacy.NewRouter(document)
	return &contract{document: document, router: router, seen: make(map[string]bool)}, err
}

func closeObject(schema *openapi3.SchemaRef) {
	isOpen := schema.Value.AdditionalProperties.Schema != nil // it says what others there may be
	if closed := false; len(schema.Value.Properties) > 0 && !isOpen {
		schema.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &closed}
	}
}

// check tells what of an answer the document does not know. The request has to be valid, unless it is one that
// is meant not to be.
func (c *contract) check(request *http.Request, body string, isValid bool, a answer) error {
	route, params, err := c.router.FindRoute(request)
	if err != nil {
		return err
	}
	request.Body = io.NopCloser(strings.NewReader(body))
	input := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
		},
	}
	if isValid {
		if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
		if err := c.checkParameters(route.Operation, request); err != nil {
			return err
		}
	}
	status, response := documented(route.Operation, a.status)
	if response == nil {
		return fmt.Errorf("there is no status %d", a.status)
	}
	if err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: a.status, Header: a.header,
		Body: io.NopCloser(bytes.NewBufferString(a.body)), Options: input.Options,
	}); err != nil {
		return err
	}
	return errors.Join(
		c.checkKnownHeaders(response, a.header),
		c.note(route.Operation.OperationID+" "+status, response, a),
	)
}

// checkParameters wants every parameter of a query to be documented, and remembers it and the headers that are.
func (c *contract) checkParameters(operation *openapi3.Operation, request *http.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range request.URL.Query() {
		parameter := operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name)
		if parameter == nil {
			return fmt.Errorf("the parameter %s is not documented", name)
		}
		c.seen[promiseOf(operation, parameter)] = true
	}
	for _, p := range operation.Parameters {
		if p.Value.In == openapi3.ParameterInHeader && request.Header.Get(p.Value.Name) != "" {
			c.seen[promiseOf(operation, p.Value)] = true
		}
	}
	return nil
}

func promiseOf(operation *openapi3.Operation, p *openapi3.Parameter) string {
	return operation.OperationID + " with the " + p.In + " parameter " + p.Name
}

// documented gives the response for a status, and what stands for that in the document, if anything does.
func documented(operation *openapi3.Operation, status int) (string, *openapi3.Response) {
	if response := operation.Responses.Status(status); response != nil {
		return strconv.Itoa(status), response.Value
	}
	if response := operation.Responses.Default(); response != nil && status >= http.StatusBadRequest {
		return "default", response.Value
	}
	return "", nil
}

// checkKnownHeaders wants every header to be documented, for this response or in the description that is for all,
// besides those that are HTTP's own.
func (c *contract) checkKnownHeaders(response *openapi3.Response, header http.Header) error {
	var unknown []string
	for name := range header {
		isKnown := strings.Contains(c.document.Info.Description, name) || slices.Contains([]string{"Connection", "Content-Length", "Content-Type", "Date", "Server"}, name)
		for documented := range response.Headers {
			isKnown = isKnown || http.CanonicalHeaderKey(documented) == name
		}
		if !isKnown {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return fmt.Errorf("headers that are not documented: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// note remembers that a response was seen, and its code, which has to be one of the response's examples.
func (c *contract) note(name string, response *openapi3.Response, a answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[name] = true
	media := response.Content.Get("application/problem+json")
	if media == nil {
		return nil
	}
	var problem models.Problem
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
		return err
	}
	if media.Examples[string(problem.Code)] == nil {
		return fmt.Errorf("the code %s is not documented for this status", problem.Code)
	}
	if strings.HasSuffix(name, " default") {
		name = "default"
	}
	c.seen[name+" "+string(problem.Code)] = true
	return nil
}

// promises is all that can be seen: each parameter, other than those of paths, and each status of each operation, and each code of such a status. What holds
// for all operations is there once.
func (c *contract) promises() []string {
	all := make(map[string]bool)
	for _, item := range c.document.Paths.Map() {
		for _, operation := range item.Operations() {
			for _, p := range operation.Parameters {
				if p.Value.In != openapi3.ParameterInPath {
					all[promiseOf(operation, p.Value)] = true
				}
			}
			for status, response := range operation.Responses.Map() {
				name := operation.OperationID + " " + status
				all[name] = true
				if media := response.Value.Content.Get("application/problem+json"); media != nil {
					if status == "default" {
						name = status
					}
					for code := range media.Examples {
						all[name+" "+code] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// missing is what the document promises and nobody has seen.
func (c *contract) missing() (missing []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, promise := range c.promises() {
		if !c.seen[promise] {
			missing = append(missing, promise)
		}
	}
	return missing
}

// differences names the routes that only the server or only the document has.
func (c *contract) differences(app *fiber.App) (differences []string) {
	served := make(map[string]bool)
	for _, route := range app.GetRoutes(true) {
		// Pages are for people, and Fiber has HEAD for each GET.
		isPage := route.Path == "/" || route.Path == "/client.js" ||
			strings.HasPrefix(route.Path, "/console/") || strings.HasPrefix(route.Path, "/swagger")
		if route.Method != http.MethodHead && !isPage {
			served[route.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(route.Path, "{$1}")] = true
		}
	}
	for path, item := range c.document.Paths.Map() {
		for method := range item.Operations() {
			if name := method + " " + path; served[name] {
				delete(served, name)
			} else {
				differences = append(differences, "not served: "+name)
			}
		}
	}
	for name := range served {
		differences = append(differences, "not documented: "+name)
	}
	slices.Sort(differences)
	return differences
}
