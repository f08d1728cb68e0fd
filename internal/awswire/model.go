package awswire

import (
	"fmt"
	"slices"
)

// Model is what the SDK's source says about a service. The models are generated: see models_gen.go.
type Model struct {
	// Service is the service's name as in Service.Name.
	Service      string
	Protocol     Protocol
	Version      string
	TargetPrefix string
	Namespace    string
	// Operations are sorted by name.
	Operations []ModelOperation
	// Required are the required members of nested structures, by Go type name.
	Required map[string][]string
	// Names are the wire names that do not follow from the Go field's, by "Type.Field".
	Names map[string]string
}

//go:generate go run ./gen

// ModelOperation is one operation of a Model; its members are wire names.
type ModelOperation struct {
	Name         string
	Method, Path string   // RestJSON1
	Query        []string // members bound to query parameters
	Required     []string
	// EmptyResult says that the output is a structure without members, which in Query has a Result element all the same.
	EmptyResult bool
}

func (m *Model) operation(name string) (ModelOperation, bool) {
	i, ok := slices.BinarySearchFunc(m.Operations, name, func(o ModelOperation, n string) int {
		switch {
		case o.Name < n:
			return -1
		case o.Name > n:
			return 1
		}
		return 0
	})
	if !ok {
		return ModelOperation{}, false
	}
	return m.Operations[i], true
}

// ApplyModel fills in what the service and its operations leave open and the model knows: protocol, version, target prefix,
// namespace, odd member names, and each operation's route and required members. An operation that the model does not have is taken to be
// newer than the SDK if it has a Method, and an error otherwise.
func (s *Service) ApplyModel(m Model) error {
	if s.Name == "" {
		s.Name = m.Service
	}
	if s.Protocol == 0 {
		s.Protocol = m.Protocol
	}
	if s.Version == "" {
		s.Version = m.Version
	}
	if s.TargetPrefix == "" {
		s.TargetPrefix = m.TargetPrefix
	}
	if s.Namespace == "" {
		s.Namespace = m.Namespace
	}
	required := map[string][]string{}
	for name, r := range m.Required {
		required[name] = r
	}
	for name, r := range s.Required {
		required[name] = r
	}
	s.Required = required
	s.model = m
	for i := range s.Operations {
		op := &s.Operations[i]
		mo, ok := m.operation(op.Name)
		if !ok {
			if op.Method == "" {
				return fmt.Errorf("service %s has no operation %q in the SDK's model, and it has no Method of its own", s.Name, op.Name)
			}
			continue
		}
		if op.Method == "" {
			op.Method, op.Path = mo.Method, mo.Path
		}
		op.emptyResult = mo.EmptyResult
		if op.Query == nil {
			op.Query = mo.Query
		}
		if op.Required == nil {
			op.Required = mo.Required
		}
	}
	return nil
}

// RefuseOthers puts every operation of the applied model that is neither provided nor refused yet into Refused, with the
// sentence that why makes of its name.
func (s *Service) RefuseOthers(why func(operation string) string) {
	if s.Refused == nil {
		s.Refused = map[string]string{}
	}
	for _, mo := range s.model.Operations {
		provided := slices.ContainsFunc(s.Operations, func(op Operation) bool { return op.Name == mo.Name })
		if _, refused := s.Refused[mo.Name]; !provided && !refused {
			s.Refused[mo.Name] = why(mo.Name)
		}
	}
}
