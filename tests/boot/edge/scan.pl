# Prints the ports of a host at which something answers: TCP that accepts, and UDP that does not refuse.
use strict;
use Socket;
my $host = inet_aton(shift) or die;
my $tcp;
for my $port (1 .. 65535) {
    # One that was refused is fit for the next: a third of the time.
    $tcp // socket($tcp, PF_INET, SOCK_STREAM, 0) or die $!;
    connect($tcp, sockaddr_in($port, $host)) or next;
    print "tcp $port\n";
    undef $tcp;
}
# What refuses says so in a message of ICMP, which holds the datagram's headers: the port is at byte 50.
socket(my $udp, PF_INET, SOCK_DGRAM, 0) or die $!;
socket(my $refusals, PF_INET, SOCK_RAW, 1) or die $!;
my %open = map { $_ => 1 } 1 .. 65535;
sub hear {
    while (defined recv($refusals, my $message, 100, MSG_DONTWAIT)) {
        delete $open{unpack('n', substr($message, 50, 2))};
    }
}
# It does so at once, on one machine; an emulated one that is busy may lose a refusal.
for my $try (1 .. 4) {
    for my $port (sort { $a <=> $b } keys %open) {
        send($udp, 'x', 0, sockaddr_in($port, $host)) or die $!;
        hear();
    }
    sleep 1;
    hear();
}
print "udp $_\n" for sort { $a <=> $b } keys %open;
