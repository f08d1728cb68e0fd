package logstore

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// CompileMultiline makes the expression that begins an event of several lines of the awslogs options
// awslogs-multiline-pattern and awslogs-datetime-format, of which at most one may be given; nil if none is. The
// datetime format is a regular expression with the strftime sequences that the awslogs driver documents
// (docs.docker.com, "Amazon CloudWatch Logs logging driver"); as there, other sequences are left out of it.
func CompileMultiline(pattern, datetimeFormat string) (*regexp.Regexp, error) {
	option := "awslogs-multiline-pattern"
	switch {
	case pattern != "" && datetimeFormat != "":
		return nil, errors.New("you cannot configure log opt 'awslogs-datetime-format' and 'awslogs-multiline-pattern' at the same time")
	case datetimeFormat != "":
		option, pattern = "awslogs-datetime-format", datetimePattern(datetimeFormat)
	case pattern == "":
		return nil, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("log opt '%s': %w", option, err)
	}
	return re, nil
}

func datetimePattern(format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		b.WriteString(strftime[format[i]])
	}
	return b.String()
}

// strftime is what each documented sequence matches.
var strftime = map[byte]string{
	'a': `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)`,
	'A': `(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)`,
	'w': `[0-6]`,
	'd': `(?:0[1-9]|[12][0-9]|3[01])`,
	'b': `(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)`,
	'B': `(?:January|February|March|April|May|June|July|August|September|October|November|December)`,
	'm': `(?:0[1-9]|1[0-2])`,
	'Y': `[0-9]{4}`,
	'y': `[0-9]{2}`,
	'H': `(?:[01][0-9]|2[0-3])`,
	'I': `(?:0[1-9]|1[0-2])`,
	'p': `[AP]M`,
	'M': `[0-5][0-9]`,
	'S': `[0-5][0-9]`,
	'f': `[0-9]{6}`,
	'z': `[+-][0-9]{4}`,
	'Z': `[A-Z]{1,4}T`,
	'j': `(?:00[1-9]|0[1-9][0-9]|[12][0-9]{2}|3[0-5][0-9]|36[0-6])`,
	'L': `\.[0-9]{3}`,
	'%': `%`,
}
