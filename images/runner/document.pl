# Writes the document on stdin for action.sh: pairs of a variable and its value, each ended by a NUL. Strings are as
# they are, without NULs; anything else is compact JSON. Numbers keep their text: jq 1.6 changes 1.0 and long integers.

use strict;
use warnings;

my %control = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");
my %escape = (reverse(%control), '"' => '"', '\\' => '\\');

sub broken { exit 1 } # action.sh says so: a message of its own could quote the document

sub encoded {
    my ($code) = @_;
    my $text = chr(($code & ~0x7FF) == 0xD800 ? 0xFFFD : $code); # half a surrogate pair is no character
    utf8::encode($text);
    return $text;
}

# Each of the following takes what begins at the position in $_.

sub string {
    my $text = '';
    /\G\s*"/gc or broken();
    until (/\G"/gc) {
        if (/\G([^"\\]+)/gc) { $text .= $1 }
        elsif (/\G\\u(d[89ab]..)\\u(d[c-f]..)/gci) {
            $text .= encoded(0x10000 + ((hex($1) & 0x3FF) << 10) + (hex($2) & 0x3FF));
        }
        elsif (/\G\\u([0-9a-f]{4})/gci) { $text .= encoded(hex $1) }
        elsif (/\G\\(.)/gc) { $text .= $control{$1} // $1 }
        else { broken() }
    }
    return $text;
}

sub quoted {
    my ($text) = @_;
    $text =~ s/(["\\\x00-\x1F])/'\\' . ($escape{$1} \/\/ sprintf 'u%04x', ord $1)/ge;
    return qq("$text");
}

sub json {
    my ($text, $depth) = ('', 0);
    do {
        if (/\G\s*(?=")/gc) { $text .= quoted(string()) }
        elsif (/\G\s*([[{])/gc) { $text .= $1; $depth++ }
        elsif (/\G\s*([]}])/gc) { $text .= $1; $depth-- }
        elsif (/\G\s*([:,]|[-+.\w]+)/gc) { $text .= $1 }
        else { broken() }
    } while ($depth > 0);
    return $text;
}

sub value {
    my $text = /\G\s*(?=")/gc ? string() : json();
    $text =~ tr/\0//d;
    return $text;
}

# members returns the names and values of an object, in order. take is called with each name, and takes the value.
sub members {
    my ($take) = @_;
    return if /\G\s*(?:null|\{\s*\})/gc;
    my @members;
    /\G\s*\{/gc or broken();
    do {
        my $name = string();
        /\G\s*:/gc or broken();
        push @members, $name, $take->($name);
    } while (/\G\s*,/gc);
    /\G\s*\}/gc or broken();
    return @members;
}

# named returns pairs whose names are those of variables. Names that fit as they are come last, so that they win.
sub named {
    my ($prefix, @members) = @_;
    my (@changed, @exact);
    while (my ($name, $value) = splice @members, 0, 2) {
        my $variable = $name =~ tr/\x80-\xBF//dr; # one byte for each character of UTF-8
        $variable =~ s/[^A-Za-z0-9_]/_/g;
        push @{ $variable eq $name ? \@exact : \@changed }, $prefix . $variable, $value;
    }
    return @changed, @exact;
}

$_ = do { local $/; <STDIN> } // '';
my %document = members(sub {
    return [members(\&value)] if $_[0] ne 'execution';
    return { members(sub { $_[0] eq 'env' ? [members(\&value)] : value() }) };
});
my %execution = %{ $document{execution} // {} };
my @env = (
    @{ $execution{env} // [] },
    ATTUNE_EXECUTION_ID => $execution{id} // '',
    ATTUNE_ACTION_REF => $execution{action} // '',
    ATTUNE_ATTEMPT => $execution{attempt} // '',
);
print map { "$_\0" } map({ $_ % 2 ? $env[$_] : "env " . $env[$_] =~ tr{\0}{}dr } 0 .. $#env),
    named('PARAM_', @{ $document{parameters} // [] }), named('SECRET_', @{ $document{secrets} // [] });
