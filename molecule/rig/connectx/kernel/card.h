/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of rig_connectx share. */
#ifndef RIG_CONNECTX_CARD_H
#define RIG_CONNECTX_CARD_H

#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include "vsc.h"

#define MAX_CARDS 16
#define MAX_PORTS 2
/* Of a port: two PFs and their VFs fill a bus. A real ConnectX-5 has as many. */
#define MAX_VFS 127
#define CONFIG_SIZE 0x400
#define VF_CONFIG_SIZE 0x100

struct function {
	u8 config[CONFIG_SIZE];
	u8 writable[CONFIG_SIZE];	/* the bits of config that a write changes */
	u8 (*vf)[VF_CONFIG_SIZE];
	struct vsc vsc;
	bool waiting;			/* a command that the firmware has not fetched yet */
};

enum { LINK_WENT_DOWN = 1, LINK_CAME_UP = 2 };

struct card {
	struct pci_bus *bus;
	struct pci_ops *before;		/* how the bus was accessed without the card */
	struct pci_dev *port;		/* the root port above */
	unsigned int ports;
	u16 device, vf_device;
	u32 hardware_id;
	u64 mac;			/* of port 0; that of port 1 is the next */
	bool present;			/* it answers: it is in its slot, and the link is up */
	bool link_disabled;
	unsigned int link_events;	/* those that the firmware has not fetched yet */
	struct function pf[MAX_PORTS];
	struct work_struct link_work;
};

/* device.c. The lock is raw because configuration accesses come with a raw lock held (pci_lock). */
extern struct card *rig_cards[MAX_CARDS];
extern raw_spinlock_t rig_lock;
void rig_tell_firmware(void);
void rig_link_went_down(struct card *card);

/* functions.c */
extern struct pci_ops rig_card_ops;
struct card *rig_card_of_bus(struct pci_bus *bus);
void rig_power_on(struct card *card);
void rig_put_vfs(struct function *pf, u16 total);

/* link.c */
void rig_watch_link(struct pci_bus *root);
void rig_leave_link(void);

/* net.c */
int rig_net_register(void);
void rig_net_unregister(void);

#endif
