#!/bin/bash
# What VFs of the first card do: whether packets pass, and who configures them. The second card is on the same wire.
#   look.sh vfs              every VF has its driver, its interface and its name
#   look.sh macs             VF 0 to 2 have the MAC addresses of the scenario, on their interfaces too
#   look.sh packets VLAN     packets pass in a VLAN, and in no other; VF 0 to 2 go into namespaces for it
#   look.sh back NUMBER...   these VFs come back from their namespaces
#   look.sh alone NUMBER...  networkd, or NetworkManager where it runs, leaves these VFs alone
#   look.sh taken NUMBER...  it has taken these VFs
# Each wait is as long as a slow machine needs: the step ends when the guest is given up.
set -euo pipefail
pf=/sys/bus/pci/devices/0000:01:00.0

function name_of() {
    local name
    until name=$(ls "$pf/virtfn$1/net") && [[ $name == en* ]]; do sleep 1; done 2>/dev/null
    echo "$name"
}

function into_namespace() {
    local name
    ip netns list | grep -qw "$1" && return
    name=$(name_of "${1#v}")
    ip netns add "$1"
    ip link set "$name" netns "$1"
    ip -n "$1" address add "$2/24" dev "$name"
    ip -n "$1" link set "$name" up
}

# An interface of a card in a VLAN, in a namespace of its own.
function in_vlan() {
    ip netns list | grep -qw "$1" && return
    ip netns add "$1"
    ip "${@:5}" link add link "$2" name "$1" type vlan id "$3"
    ip "${@:5}" link set "$1" netns "$1"
    ip -n "$1" address add "$4/24" dev "$1"
    ip -n "$1" link set "$1" up
}

function passes() {
    until ip netns exec "$1" ping -c 1 -W 2 -q "$2" >/dev/null; do sleep 1; done
    echo "$1 reaches $2"
}

function is_lost() {
    ! ip netns exec "$1" ping -c 3 -W 2 -q "$2" >/dev/null || { echo "$1 reaches $2, across VLANs" >&2; return 1; }
}

function packets() {
    for number in 0 1 2; do into_namespace "v$number" "10.9.0.1$number"; done
    ip address replace 10.9.0.1/24 dev enp1s0
    in_vlan "pf$1" enp1s0 "$1" 10.9.0.4
    if ! ip netns list | grep -qw wire; then
        ip netns add wire
        ip link set enp2s0 netns wire
        ip -n wire address add 10.9.0.2/24 dev enp2s0
        ip -n wire link set enp2s0 up
    fi
    in_vlan "w$1" enp2s0 "$1" 10.9.0.3 -n wire
    passes v0 10.9.0.11
    passes v1 10.9.0.10
    passes v0 10.9.0.4
    passes v0 10.9.0.3
    passes "w$1" 10.9.0.11
    # VF 2 is in another VLAN; the PF and the other card are untagged under these addresses.
    is_lost v0 10.9.0.12
    is_lost v2 10.9.0.11
    is_lost v2 10.9.0.3
    is_lost v0 10.9.0.1
    is_lost v0 10.9.0.2
}

# What the network of the host does with an interface: networkd's word, or NetworkManager's turned into it.
function setup_of() {
    if systemctl -q is-active NetworkManager; then
        case $(nmcli -g GENERAL.STATE,GENERAL.REASON device show "$1" | xargs) in
            *udev*) echo unmanaged ;;
            "10 "*) echo pending ;;
            *) echo configuring ;;
        esac
    else
        networkctl list --no-legend --no-pager "$1" | awk '{ print $5 }'
    fi
}

function alone() {
    local name
    name=$(name_of "$1")
    udevadm settle
    while [[ $(setup_of "$name") =~ ^(pending|initialized)$ ]]; do sleep 1; done
    [[ $(setup_of "$name") == unmanaged ]]
    [[ -z $(ip -o address show dev "$name") ]]
    [[ $(cat "/sys/class/net/$name/flags") == 0x1002 ]]
}

function taken() {
    local name
    name=$(name_of "$1")
    until [[ $(cat "/sys/class/net/$name/flags") == 0x1003 ]]; do sleep 1; done
    [[ $(setup_of "$name") == config* ]]
}

function macs() {
    for number in 0 1 2; do
        [[ $(ip -j link show enp1s0 | python3 -c "import json, sys; print(json.load(sys.stdin)[0]['vfinfo_list'][$number]['address'])") \
            == "02:5a:00:00:00:1$number" ]]
        [[ $(cat "/sys/class/net/$(name_of "$number")/address") == "02:5a:00:00:00:1$number" ]]
    done
}

function vfs() {
    for number in 0 1 2 3; do name_of "$number"; done
    [[ $(basename "$(readlink "$pf/virtfn4/driver")") == vfio-pci ]]
}

command=$1
shift
case $command in
    packets) packets "$1" ;;
    back) for number; do ip netns delete "v$number"; name_of "$number"; done ;;
    alone | taken) for number; do "$command" "$number" || { echo "not $command: VF $number: $(setup_of "$(name_of "$number")")" >&2; exit 1; }; done ;;
    macs | vfs) "$command" ;;
    *) exit 2 ;;
esac
