/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the parts of rig_connectx. */
#ifndef RIG_CONNECTX_CARD_H
#define RIG_CONNECTX_CARD_H

#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include "vsc.h"

#define MAX_CARDS 16
#define MAX_PORTS 2
/* VFs of each port: two PFs and their VFs fill a bus. A real ConnectX-5 with two ports has as many. */
#define MAX_VFS 127
#define CONFIG_SIZE 0x400
#define VF_CONFIG_SIZE 0x100

struct function {
	u8 config[CONFIG_SIZE];
	u8 writable[CONFIG_SIZE];	/* the bits of config that a write can change */
	u8 (*vf)[VF_CONFIG_SIZE];
	struct vsc vsc;
	bool waiting;			/* a command that the firmware has not read yet */
};

enum { LINK_WENT_DOWN = 1, LINK_CAME_UP = 2 };

struct card {
	struct pci_bus *bus;
	struct pci_ops *before;		/* the bus operations without the card */
	struct pci_dev *port;		/* the root port above */
	unsigned int ports;
	u16 device, vf_device;
	u32 hardware_id;
	u64 mac;			/* of port 0; that of port 1 is the next */
	bool present;			/* it answers: it is in its slot, and the kernel has found it */
	bool link_disabled;
	bool link_lost;			/* the link went down, and the kernel still has the card's devices */
	unsigned int link_events;	/* changes of the link that the firmware has not read yet */
	struct function pf[MAX_PORTS];
};

/* device.c. The lock is raw because the kernel holds a raw lock (pci_lock) during configuration accesses. */
extern struct card *rig_cards[MAX_CARDS];
extern raw_spinlock_t rig_lock;
void rig_wake_firmware(void);
void rig_link_changed(void);

/* functions.c */
extern struct pci_ops rig_card_ops;
struct card *rig_card_of_bus(struct pci_bus *bus);
void rig_power_on(struct card *card);
void rig_put_vfs(struct function *pf, u16 total);

/* link.c */
void rig_watch_link(struct pci_bus *root);
void rig_stop_watching_link(void);

/* net.c */
int rig_net_register(void);
void rig_net_unregister(void);

#endif
