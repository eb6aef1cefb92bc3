# Prints the ports of a host at which something answers: TCP that accepts, and UDP that does not refuse.
use strict;
use Socket;
my $host = inet_aton(shift) or die;
for my $port (1 .. 65535) {
    socket(my $tcp, PF_INET, SOCK_STREAM, 0) or die $!;
    print "tcp $port\n" if connect($tcp, sockaddr_in($port, $host));
    close $tcp;
}
for my $port (1 .. 65535) {
    socket(my $udp, PF_INET, SOCK_DGRAM, 0) or die $!;
    connect($udp, sockaddr_in($port, $host)) or die $!;
    my $wait = '';
    vec($wait, fileno($udp), 1) = 1;
    # What refuses does so at once, on one machine; an emulated one that is busy may lose a refusal.
    my $refuses = 0;
    for my $try (1 .. 4) {
        last if $refuses;
        send($udp, 'x', 0);
        my $answered = $wait;
        $refuses = select($answered, undef, undef, 0.25 * $try);
    }
    print "udp $port\n" unless $refuses;
    close $udp;
}
